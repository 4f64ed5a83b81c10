"""What goes into sandboxes and comes out of them: packing, safe extraction, the content store, small values.

Knows neither engines nor event loops: archives go out as iterators of bytes and come in as iterables of them.
"""
