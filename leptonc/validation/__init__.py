"""Translation validation: after every step of the compiler, what it was given and what it made of it are run and compared.

| file | idea |
|---|---|
| inputs | kinds of generated inputs, each for what it finds |
| widen | a graph or program in f64, so that rounding does not blur what is compared |
| execution | running either, with kernels that did not change run once; what a run costs |
| placed | a program run in the memory it was given: arena, donation, in place |
| rounding | how far results may differ where rounding does |
| compare | the first difference |
| slices | small parts of a graph or program, on values of a whole run |
| claim | a step, and the search for the smallest thing it gets wrong |
| validator | what the driver calls |

A step declares what it does not preserve in ``changes``: "rounding" (it rounds constants, or sums differently enough to be seen in
f64) and "special values" (it leaves out products with 0, whatever the other factor is). What a step with ``places`` makes is run in
the memory that it names.
"""
