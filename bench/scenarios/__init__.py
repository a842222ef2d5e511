"""The scenarios: a package a suite, in it a module a scenario."""
