"""Other ways to run a graph of containers, of which those that are installed are measured."""
