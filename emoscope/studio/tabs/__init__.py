"""The tabs of the studio, a module each: `build(desk)` places it where it is called."""
