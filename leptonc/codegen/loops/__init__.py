"""Loop nests: linear addresses, schedules, emission."""
