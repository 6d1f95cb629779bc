//! The operator's own pages: its figures, and what it says of its health.

use std::collections::BTreeMap;

use lab::Lab;

use crate::failure::{Failure, Outcome};

/// The figures of one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    series: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// A page of the operator: its status and its text.
///
/// # Errors
/// The operator does not run, or does not answer.
pub async fn page(lab: &Lab, path: &str) -> Outcome<(u16, String)> {
    let operator = lab.operator.as_ref();
    let operator = operator.ok_or_else(|| Failure("the operator does not run".to_owned()))?;
    let answer = reqwest::get(format!("{}{path}", operator.metrics())).await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

impl Figures {
    /// The operator's figures now.
    ///
    /// # Errors
    /// The operator does not answer, or with something else.
    pub async fn read(lab: &Lab) -> Outcome<Self> {
        let (_, text) = page(lab, "/metrics").await?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Outcome<Self> {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = lines.map(|line| sample(line).ok_or_else(|| Failure(format!("no sample: {line}"))));
        Ok(Self {
            series: series.collect::<Outcome<_>>()?,
        })
    }

    /// The sum of all series of that name that bear these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name)
            .filter(|(found, _)| {
                labels
                    .iter()
                    .all(|(label, value)| found.get(*label).map(String::as_str) == Some(*value))
            })
            // A sum of nothing would be -0.
            .fold(0.0, |sum, (_, value)| sum + value)
    }

    /// All series of that name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a BTreeMap<String, String>, f64)> {
        let name = format!("vic_operator_{name}");
        let named = self.series.iter().filter(move |(found, _, _)| *found == name);
        named.map(|(_, labels, value)| (labels, *value))
    }
}

fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let (name, rest) = line.split_once('{').or_else(|| line.split_once(' '))?;
    let (labels, value) = rest.rsplit_once("} ").unwrap_or(("", rest));
    let labels = labels
        .split("\",")
        .filter_map(|label| label.split_once("=\""))
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
        .collect();
    Some((name.to_owned(), labels, value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_their_labels() {
        let text = "# TYPE vic_operator_x counter\nvic_operator_x_total{a=\"1\",path=\"/a/{id},b\"} 2\n\
                    vic_operator_x_total{a=\"2\",path=\"/b\"} 3\nvic_operator_y 1.5\n# EOF\n";
        let figures = Figures::parse(text).unwrap();
        let sum = |name: &str, labels: &[(&str, &str)]| figures.sum(name, labels).to_string();
        assert_eq!(sum("x_total", &[]), "5");
        assert_eq!(sum("x_total", &[("a", "2")]), "3");
        assert_eq!(sum("x_total", &[("path", "/a/{id},b")]), "2");
        assert_eq!(sum("x_total", &[("none", "")]), "0");
        assert_eq!(sum("y", &[]), "1.5");
        assert!(Figures::parse("<html>").is_err());
    }
}
