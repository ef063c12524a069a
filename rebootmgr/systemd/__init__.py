"""systemd itself: which boot this is, units, readiness and watchdog, the journal, time.

`journal_words` is pure. No other neighbour's interface belongs here.
"""
