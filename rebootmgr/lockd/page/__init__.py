"""The page for people who would rather look: it shows what `rebootmgrctl fleet status` does.

May decide nothing, and change nothing.
"""
