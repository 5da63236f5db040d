"""Pictures of a deck, drawn from what is known of it."""
