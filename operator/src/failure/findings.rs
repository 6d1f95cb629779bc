//! Collects what is wrong with a spec: a user mends all of it at once, not one thing at each try.

use super::ValidateError;

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings(Vec<ValidateError>);

impl Findings {
    /// Keeps what is wrong, and hands on what is right.
    pub fn take<T>(&mut self, outcome: Result<T, ValidateError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(ValidateError::Several(all)) => {
                all.into_iter().for_each(|error| self.add(error));
                None
            }
            Err(error) => {
                self.add(error);
                None
            }
        }
    }

    /// The same cause shows in several places: it is told once.
    fn add(&mut self, error: ValidateError) {
        let text = error.to_string();
        if self.0.iter().all(|known| known.to_string() != text) {
            self.0.push(error);
        }
    }

    /// The value, if nothing was wrong. It is there whenever all that it is made of was right.
    ///
    /// # Errors
    /// All that was wrong.
    pub fn conclude<T>(mut self, value: Option<T>) -> Result<T, ValidateError> {
        match (self.0.len(), value) {
            (0, Some(value)) => Ok(value),
            (1, _) => Err(self.0.remove(0)),
            _ => Err(ValidateError::Several(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn invalid(field: &str) -> ValidateError {
        ValidateError::Invalid {
            field: field.to_owned(),
            rule: "is wrong".to_owned(),
        }
    }

    fn told(wrong: &[&str]) -> Result<i32, String> {
        let mut findings = Findings::default();
        let right = findings.take(Ok(7));
        for field in wrong {
            assert_eq!(findings.take(Err::<i32, _>(invalid(field))), None);
        }
        findings
            .conclude(right)
            .map_err(|error| Failure::from(error).summary().message)
    }

    #[test]
    fn each_finding_is_a_line_and_told_once() {
        let cases: [(&[&str], Result<i32, &str>); 4] = [
            (&[], Ok(7)),
            (&["spec.a"], Err("spec.a: is wrong.")),
            (&["spec.a", "spec.a"], Err("spec.a: is wrong.")),
            (&["spec.a", "b"], Err("spec.a: is wrong.\nB: is wrong.")),
        ];
        for (wrong, expected) in cases {
            assert_eq!(told(wrong), expected.map_err(str::to_owned), "{wrong:?}");
        }
    }

    #[test]
    fn findings_of_a_part_are_findings_of_the_whole() {
        let mut part = Findings::default();
        part.take(Err::<(), _>(invalid("spec.a")));
        part.take(Err::<(), _>(invalid("spec.b")));
        let mut whole = Findings::default();
        whole.take(Err::<(), _>(invalid("spec.b")));
        whole.take(part.conclude(Some(())));
        assert_eq!(whole.0.len(), 2, "{whole:?}");
    }
}
