"""Faults in the middle, scripted: what the stack has lost afterwards, beside an undisturbed run.

==============  ================================================================
`bench`         a stack of its own: runs, processes, final states
`opening`       how it begins: photographs, the nightly run, the proxy
`proxy`         an S3 server's front that answers wrong, late or in halves
`answers`       the wrong answers
`cases`         parts that are killed or away in the middle of a run; the verdict
`evidence`      sweeps of an S3 that answers wrong
`sharing`       searches of one, two runs in one place, Postgres
`together`      two sweeps and five searches at once
`soak`          nights of new photographs and searches; every process' memory
==============  ================================================================
"""
