"""How long the program is told to wait for what surely comes."""

from typing import Final

PATIENT_S: Final = 3600.0
"""Longer than any test may take, so that nothing but the event itself ends the wait."""
