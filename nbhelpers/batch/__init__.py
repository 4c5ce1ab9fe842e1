"""Chains of parameterised notebooks: their parameters, their run, its record and report page."""
