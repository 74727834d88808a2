"""Many runs from one command line: searching, starting side by side, and knowing what became of each."""
