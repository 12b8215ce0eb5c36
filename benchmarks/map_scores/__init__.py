"""How well maps of contributions agree with lesions, and with what the network answers."""
