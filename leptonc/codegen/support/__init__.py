"""Native code around a step: threads and barriers, and taking a call's arrays apart."""
