"""Every foreign library raises each of its exceptions, and three that it never should.

An error of one item fails that item; an error of every item stops the run with one line, and the
same command resumes. Either way every group ends in rows or failures exactly once.
"""
