"""What a run acts on: what is in which container and tip, and what stands where."""
