"""The application: `veracast serve` shows a folder of runs, explains, compares, takes exports and works them off as jobs."""
