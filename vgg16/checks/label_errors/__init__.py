"""Likely label errors: images whose given label two classifiers, which have not learned from it, believe least."""
