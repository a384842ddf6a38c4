"""Where this process works: its settings from the environment, the home, the servers it reaches."""
