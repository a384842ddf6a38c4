"""New pictures against those that the model in production was judged on."""
