//! The laws, as curves that are linear in their terms or in the reciprocal of them.

use serde::{Deserialize, Serialize};

/// A law of how capacity grows with the size n; lambda is the capacity of one GPU or replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// C = lambda n.
    Linear,
    /// C = lambda n / (1 + sigma (n - 1)), 0 <= sigma <= 1. Source: Amdahl, *AFIPS Spring Joint
    /// Computer Conference*, 1967, 483-485.
    Amdahl,
    /// C = lambda (n - sigma (n - 1)), 0 <= sigma <= 1: the work grows with the machine. Source:
    /// Gustafson, *Communications of the ACM* 31(5), 1988, 532-533.
    Gustafson,
    /// C = lambda n / (1 + sigma (n - 1) + kappa n (n - 1)), 0 <= sigma <= 1, kappa >= 0. Source:
    /// Gunther, *Guerrilla Capacity Planning*, Springer 2007, chapters 4 to 6.
    Usl,
}

impl Law {
    /// All laws, fewest parameters first.
    pub const ALL: [Self; 4] = [Self::Linear, Self::Amdahl, Self::Gustafson, Self::Usl];

    /// Number of parameters, lambda included.
    #[must_use]
    pub const fn parameters(self) -> usize {
        match self {
            Self::Linear => 1,
            Self::Amdahl | Self::Gustafson => 2,
            Self::Usl => 3,
        }
    }

    /// The name that people write.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Amdahl => "Amdahl",
            Self::Gustafson => "Gustafson",
            Self::Usl => "USL",
        }
    }

    /// The law without its limits on sigma and kappa.
    pub(super) const fn free(self) -> Curve {
        match self {
            Self::Linear => Curve { reciprocal: true, terms: &[Term::One] },
            Self::Amdahl => Curve { reciprocal: true, terms: &[Term::One, Term::Others] },
            Self::Gustafson => Curve { reciprocal: false, terms: &[Term::N, Term::Others] },
            Self::Usl => Curve { reciprocal: true, terms: &[Term::One, Term::Others, Term::Pairs] },
        }
    }

    /// The law at each of its limits: sigma = 0, sigma = 1, kappa = 0 and what is possible of both.
    pub(super) const fn at_limits(self) -> &'static [Curve] {
        match self {
            Self::Linear => &[],
            Self::Amdahl => &[
                Curve { reciprocal: true, terms: &[Term::One] },
                Curve { reciprocal: true, terms: &[Term::N] },
            ],
            Self::Gustafson => &[
                Curve { reciprocal: false, terms: &[Term::N] },
                Curve { reciprocal: false, terms: &[Term::One] },
            ],
            Self::Usl => &[
                Curve { reciprocal: true, terms: &[Term::One, Term::Others] },
                Curve { reciprocal: true, terms: &[Term::One, Term::Pairs] },
                Curve { reciprocal: true, terms: &[Term::N, Term::Pairs] },
                Curve { reciprocal: true, terms: &[Term::One] },
                Curve { reciprocal: true, terms: &[Term::N] },
            ],
        }
    }
}

/// One term of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// 1
    One,
    /// n - 1
    Others,
    /// n (n - 1)
    Pairs,
    /// n
    N,
}

impl Term {
    fn at(self, n: f64) -> f64 {
        match self {
            Self::One => 1.0,
            Self::Others => n - 1.0,
            Self::Pairs => n * (n - 1.0),
            Self::N => n,
        }
    }
}

/// A sum of terms with one factor each, s(n): the capacity is n / s(n), or s(n) itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Curve {
    pub(super) reciprocal: bool,
    pub(super) terms: &'static [Term],
}

impl Curve {
    /// The terms at `n`; those that the curve lacks are 0.
    pub(super) fn terms_at(&self, n: f64) -> [f64; 3] {
        let mut values = [0.0; 3];
        for (value, term) in values.iter_mut().zip(self.terms) {
            *value = term.at(n);
        }
        values
    }

    /// What the factors mean.
    pub(super) fn parameters(&self, factors: [f64; 3]) -> Parameters {
        let first = factors[0];
        let (mut sigma, mut kappa) = (0.0, 0.0);
        for (factor, term) in factors.iter().zip(self.terms) {
            match term {
                Term::One => sigma += if self.reciprocal { 0.0 } else { 1.0 },
                Term::N => sigma += if self.reciprocal { 1.0 } else { 0.0 },
                Term::Others => {
                    sigma += if self.reciprocal { factor / first } else { -factor / first }
                }
                Term::Pairs => kappa += factor / first,
            }
        }
        let lambda = if self.reciprocal { first.recip() } else { first };
        Parameters { lambda, sigma, kappa }
    }
}

/// The numbers of a law, as one fit found them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parameters {
    pub(super) lambda: f64,
    pub(super) sigma: f64,
    pub(super) kappa: f64,
}

impl Parameters {
    /// Whether they are within the law's limits.
    pub(super) fn allowed(&self) -> bool {
        self.lambda > 0.0 && (0.0..=1.0).contains(&self.sigma) && self.kappa >= 0.0
    }

    /// The nearest ones within the limits, each for itself.
    pub(super) fn clamped(self) -> Self {
        Self { sigma: self.sigma.clamp(0.0, 1.0), kappa: self.kappa.max(0.0), ..self }
    }

    /// Capacity at size `n` by `law`.
    pub(super) fn capacity(&self, law: Law, n: f64) -> f64 {
        let Self { lambda, sigma, kappa } = *self;
        match law {
            Law::Linear => lambda * n,
            Law::Gustafson => lambda * (n - sigma * (n - 1.0)),
            Law::Amdahl => lambda * n / (1.0 + sigma * (n - 1.0)),
            Law::Usl => lambda * n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0)),
        }
    }
}
