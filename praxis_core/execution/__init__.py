"""One run while it is alive: its progress, what it offers its protocol, the files it leaves."""
