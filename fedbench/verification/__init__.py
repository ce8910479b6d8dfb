"""How far records can be trusted. Nothing of a record is run, and no torch is imported.

``ladder`` takes files up the levels: ``submission`` lists them, ``validity`` and ``safety`` read them,
``consistency`` holds each record to itself and its scenario, ``agreement`` to the other records. ``badges``
keeps what was replayed, ``history`` asks git what a change did to records, ``comment`` writes it all down.
"""
