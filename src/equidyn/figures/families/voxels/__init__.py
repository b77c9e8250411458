"""Ways of comparing predicted grids, and what interpolation alone costs."""
