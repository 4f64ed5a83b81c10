"""What is told of a run: to a person while it goes on and at its end, to programs as a document."""
