//! Figures, and how they are shown: the median of the rounds, with the lowest and the highest.

use super::meter::Cost;
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use std::time::Duration;

/// What one measurement in one round came to.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) name: String,
    values: Vec<(String, f64)>,
}

impl Figure {
    pub(super) fn new(name: &str, items: usize, took: Duration) -> Self {
        let rate = items as f64 / took.as_secs_f64().max(1e-9);
        Self { name: name.to_owned(), values: vec![("per second".to_owned(), rate)] }
    }

    /// For what has no rate worth the name.
    pub(super) fn without_rate(mut self) -> Self {
        self.values.retain(|(name, _)| name != "per second");
        self
    }

    pub(super) fn latencies(self, latencies: &[Duration]) -> Self {
        let ms: Vec<f64> = latencies.iter().map(|latency| latency.as_secs_f64() * 1000.0).collect();
        let (p50, p99) = (percentile(ms.clone(), 0.5), percentile(ms, 0.99));
        self.maybe("p50 ms", p50).maybe("p99 ms", p99)
    }

    pub(super) fn cost(self, cost: Cost) -> Self {
        let micros = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e6);
        self.maybe("statements", cost.statements)
            .also("WAL bytes", cost.wal_bytes)
            .maybe("server µs", micros(cost.server))
            .maybe("Postgres µs", micros(cost.postgres))
    }

    pub(super) fn also(mut self, name: &str, value: f64) -> Self {
        self.values.push((name.to_owned(), value));
        self
    }

    /// Says everything per item where each thing measured held `count` of them. Latencies stay those of the whole.
    pub(super) fn of_items(mut self, count: usize) -> Self {
        let count = count as f64;
        for (name, value) in &mut self.values {
            match name.as_str() {
                "per second" => *value *= count,
                "p50 ms" | "p99 ms" => {}
                _ => *value /= count,
            }
        }
        self
    }

    fn maybe(self, name: &str, value: Option<f64>) -> Self {
        match value {
            Some(value) => self.also(name, value),
            None => self,
        }
    }
}

/// The value below which that share of `values` lies.
pub(super) fn percentile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get(((values.len() as f64 * share) as usize).min(last)).copied()
}

/// One line for each measurement.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(["what", "figures: median (lowest–highest)"]);
    for (name, values) in grouped(figures) {
        let shown: Vec<String> = values.iter().map(|(name, values)| format!("{name} {}", spread(values))).collect();
        table.add_row([name, shown.join(" · ")]);
    }
    format!("{table}\n")
}

/// Every round's values.
pub(super) fn json(figures: &[Figure]) -> String {
    let list: Vec<Value> = grouped(figures)
        .into_iter()
        .map(|(name, values)| {
            let values: serde_json::Map<String, Value> =
                values.into_iter().map(|(name, values)| (name, json!(values))).collect();
            json!({"name": name, "rounds": values})
        })
        .collect();
    format!("{}\n", Value::Array(list))
}

type Values = Vec<(String, Vec<f64>)>;

/// Figures of one name together, in the order of their coming.
fn grouped(figures: &[Figure]) -> Vec<(String, Values)> {
    let mut groups: Vec<(String, Values)> = Vec::new();
    for figure in figures {
        let index = groups.iter().position(|(name, _)| *name == figure.name).unwrap_or_else(|| {
            groups.push((figure.name.clone(), Vec::new()));
            groups.len() - 1
        });
        for (name, value) in &figure.values {
            match groups[index].1.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(*value),
                None => groups[index].1.push((name.clone(), vec![*value])),
            }
        }
    }
    groups
}

fn spread(values: &[f64]) -> String {
    let [low, middle, high] = [0.0, 0.5, 1.0].map(|share| percentile(values.to_vec(), share).unwrap_or(f64::NAN));
    if values.len() == 1 { number(middle) } else { format!("{} ({}–{})", number(middle), number(low), number(high)) }
}

fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        3
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::{Figure, percentile, table};
    use std::time::Duration;

    #[test]
    fn a_percentile_of_few_values_is_one_of_them() {
        assert_eq!(percentile(vec![3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(percentile(vec![3.0, 1.0, 2.0], 0.99), Some(3.0));
        assert_eq!(percentile(Vec::new(), 0.5), None);
    }

    #[test]
    fn rounds_of_one_name_are_shown_as_median_and_extremes() {
        let of = |items| Figure::new("accept", items, Duration::from_secs(1));
        assert!(table(&[of(100), of(300), of(200)]).contains("per second 200 (100–300)"));
    }

    #[test]
    fn a_batch_is_counted_by_its_items() {
        let figure = Figure::new("accept-batch", 10, Duration::from_secs(1)).also("WAL bytes", 5000.0).of_items(1000);
        let shown = table(&[figure]);
        assert!(shown.contains("per second 10000") && shown.contains("WAL bytes 5.000"), "{shown}");
    }
}
