"""Faults in the middle, scripted: what the stack has lost afterwards, beside an undisturbed run.

==============  ================================================================
`bench`         a stack of its own: fresh tables, runs, processes, final states
`proxy`         an S3 server's front that answers wrong, late or in halves
`cases`         the faults, and how to know that a run is in its middle
`soak`          nights of new photographs and searches; every process' memory
==============  ================================================================
"""
