"""Networks that are programs: a module each, which has the network as a user of leptonc writes it, and once more over the layers
that every peer brings along."""
