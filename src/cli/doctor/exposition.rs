//! Single values in the text of `/metrics`.

/// The value of a metric, or of its only series that has `part` in its labels.
pub fn value(text: &str, name: &str, part: &str) -> Option<f64> {
    lines(text, name).find(|(labels, _)| labels.contains(part)).and_then(|(_, value)| value.parse().ok())
}

/// The value of a label of a metric.
pub fn label<'t>(text: &'t str, name: &str, label: &str) -> Option<&'t str> {
    lines(text, name).find_map(|(labels, _)| labels.split_once(&format!("{label}=\""))?.1.split('"').next())
}

/// The labels and the value of each series.
fn lines<'t>(text: &'t str, name: &str) -> impl Iterator<Item = (&'t str, &'t str)> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        Some((labels, value.split(' ').next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_labels_are_read_from_text() {
        let text = "# HELP latchd_a A.\nlatchd_a 1\nlatchd_ab 2\nlatchd_build_info{version=\"0.1.0\"} 1\n\
                    latchd_audit_lines_total{result=\"failed\"} 3\n";
        assert_eq!((value(text, "latchd_a", ""), value(text, "latchd_ab", "")), (Some(1.0), Some(2.0)));
        assert_eq!(label(text, "latchd_build_info", "version"), Some("0.1.0"));
        assert_eq!(value(text, "latchd_audit_lines_total", "failed"), Some(3.0));
        assert_eq!((value("<html>", "latchd_a", ""), label(text, "latchd_a", "version")), (None, None));
    }
}
