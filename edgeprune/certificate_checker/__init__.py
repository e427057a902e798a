"""A separate, short, slow program that checks certificates: exact integers, nothing of the prover.

It reads the file of certificates and the network's own file by their formats, and imports no other
part of edgeprune. What it recomputes, and how that differs from the prover:

- `stairs`, `network`: every rounding layer as integer weights and a table of thresholds, found by
  bisection on the fixed-point arithmetic; the prover bounds the rounding error instead;
- `front_end`, `segments`: the device's front end as one more such layer, over the change of the raw
  counts;
- `families`, `artefacts`, `balls`, `sets`: support functions of the perturbations in integers,
  rounded outward;
- `bounds`: relaxation lines with intercepts that are the exact extremes over the stairs, carried
  back with fixed-point coefficients whose rounding is bounded and subtracted;
- `file`, `claims`: the decision, the split tree's and the pieces' completeness, the
  counterexamples, the counts. No bound in the file is believed; there is none in it.
"""

from edgeprune.certificate_checker.claims import Report, Verdict, check

__all__ = ["Report", "Verdict", "check"]
