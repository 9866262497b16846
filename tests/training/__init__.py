"""Tests of the training wing; a package so that they can share its tiny recipe."""
