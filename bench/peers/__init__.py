"""The contenders: a package a suite, in it a module a library."""
