"""Where datasets come from: archives in CIFAR's layout, and what this machine makes by itself."""
