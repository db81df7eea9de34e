"""Gamma variables as functions of their shapes."""

REFERENCES = {
    "random.gamma_slope": None,  # against mpmath and SciPy: see test_random
    "random.log_gamma": lambda alpha, drawn: drawn,
}
