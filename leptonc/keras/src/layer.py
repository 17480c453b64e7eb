"""What layers of this backend have beside Keras's own: nothing so far."""


class LeptoncLayer:
    """Mixin of every layer."""
