"""Steps of other systems, on the same weights and data: a module each, which imports its system only when a step is made."""
