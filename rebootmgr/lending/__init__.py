"""Who gets a slot: functions of (fleet, question, rules, moment), and the desk where they meet.

Nothing may enter that reads a clock, a file or a socket, waits, logs or draws
lots; of a host's own decision only the core's windows are known here.
"""
