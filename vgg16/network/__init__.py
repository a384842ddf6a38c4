"""Networks of a backbone and a head: how they are built, frozen, described, and given weights."""
