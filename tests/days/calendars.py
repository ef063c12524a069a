"""Drop-ins as administrators write them: everything that opens and closes a host in 30 days.

Both seasons have a change of the clocks in each of these zones.
"""

from datetime import UTC, datetime
from typing import Final

SEASONS: Final = (datetime(2030, 3, 8, tzinfo=UTC), datetime(2030, 10, 5, tzinfo=UTC))

ALWAYS: Final = """
[updates]
strategy = ["immediate"]
"""

NIGHTLY: Final = """
[updates]
strategy = ["periodic"]
[updates.periodic]
time_zone = "Europe/Rome"
[[updates.periodic.window]]
days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
start_time = "02:30"
length_minutes = 60
"""

CALENDARS: Final = {
    "always": ALWAYS,
    "nightly, in the gap": NIGHTLY,
    "weekends across midnight, splayed": """
[updates]
strategy = ["periodic"]
[updates.periodic]
splay_minutes = 30
[[updates.periodic.window]]
days = ["Sat", "Sunday"]
start_time = "23:30"
length_minutes = 120
[[updates.periodic.window]]
days = ["wed"]
start_time = "01:00"
length_minutes = 15
""",
    "ambiguous nights": """
[updates]
strategy = ["periodic"]
[updates.periodic]
time_zone = "America/New_York"
splay_minutes = 45
[[updates.periodic.window]]
days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
start_time = "01:30"
length_minutes = 90
""",
    "the second Sunday, and Wednesdays": """
[updates]
strategy = ["periodic"]
[updates.periodic]
time_zone = "Europe/Rome"
[[updates.periodic.window]]
rrule = "FREQ=MONTHLY;BYDAY=2SU"
start_time = "00:00"
length_minutes = 240
[[updates.periodic.window]]
days = ["Wed"]
start_time = "12:00"
length_minutes = 30
""",
    "every other week": """
[updates]
strategy = ["periodic"]
[updates.periodic]
time_zone = "Australia/Lord_Howe"
[[updates.periodic.window]]
rrule = "FREQ=WEEKLY;INTERVAL=2;BYDAY=FR,SU"
start_date = 2029-12-31
start_time = "01:45"
length_minutes = 600
""",
    "three zones that overlap": """
[updates]
strategy = ["periodic"]
[[updates.periodic.window]]
days = ["Mon", "Thu"]
start_time = "22:00"
length_minutes = 180
[[updates.periodic.window]]
days = ["Mon", "Fri"]
start_time = "19:30"
length_minutes = 90
time_zone = "America/New_York"
[[updates.periodic.window]]
days = ["Tue", "Sun"]
start_time = "02:15"
length_minutes = 45
time_zone = "Pacific/Auckland"
""",
    "short nights": """
[updates]
strategy = ["periodic"]
[[updates.periodic.window]]
days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
start_time = "03:00"
length_minutes = 8
[[updates.periodic.window]]
days = ["Sun"]
start_time = "03:00"
length_minutes = 90
""",
    "freezes by the day": """
[updates]
strategy = ["immediate"]
[updates.periodic]
time_zone = "Europe/Rome"
[[updates.blackout]]
name = "quarter end"
start = 2030-03-28
end = 2030-04-02
[[updates.blackout]]
name = "audit"
start = 2030-10-25
end = 2030-10-28
""",
    "nights with freezes": """
[updates]
strategy = ["periodic"]
[updates.periodic]
time_zone = "Europe/Rome"
splay_minutes = 20
[[updates.periodic.window]]
days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
start_time = "22:00"
length_minutes = 360
[[updates.blackout]]
name = "every year"
start = 2027-03-30T12:00:00
end = 2027-04-02T02:30:00
rrule = "FREQ=YEARLY"
[[updates.blackout]]
name = "launch"
start = 2030-03-14T23:30:00+09:00
end = 2030-03-16T00:00:00Z
[[updates.blackout]]
name = "nightly backup"
start = 2029-01-01T23:00:00
end = 2029-01-02T00:15:00
rrule = "FREQ=DAILY"
[[updates.blackout]]
name = "every October"
start = 2027-10-26T12:00:00
end = 2027-10-29T02:30:00
rrule = "FREQ=YEARLY"
""",
}
