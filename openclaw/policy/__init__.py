"""Decides: the policy decision point, its engines and the bundles that they load."""
