"""The speech networks, their checkpoints, and windowed inference."""
