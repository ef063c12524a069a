"""What is told to whoever looks: metrics and their socket, the message at the login.

It changes nothing.
"""
