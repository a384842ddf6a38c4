"""New pictures of an inbox, day after day: what drifts is told once, with what to label first."""
