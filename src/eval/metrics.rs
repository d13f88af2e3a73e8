//! Rank correlation and retrieval.

use ndarray::Array1;

/// Ranks from 1, equal values share their mean rank.
fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    let mut ranks = vec![0.0; x.len()];
    let mut from = 0;
    while from < order.len() {
        let mut to = from;
        while to + 1 < order.len() && x[order[to + 1]] == x[order[from]] {
            to += 1;
        }
        for &i in &order[from..=to] {
            ranks[i] = (from + to) as f64 / 2.0 + 1.0;
        }
        from = to + 1;
    }
    ranks
}

/// Spearman's rank correlation; 0 where one side is constant.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (Array1::from(ranks(a)), Array1::from(ranks(b)));
    let centre = |x: &Array1<f64>| x - x.mean().unwrap_or(0.0);
    let (a, b) = (centre(&a), centre(&b));
    let norm = (a.dot(&a) * b.dot(&b)).sqrt();
    if norm == 0.0 { 0.0 } else { a.dot(&b) / norm }
}

/// Share of vectors whose nearest other vector has the same index in both sets.
pub fn top1_agreement(a: &[&Array1<f64>], b: &[&Array1<f64>]) -> f64 {
    let nearest = |set: &[&Array1<f64>], i: usize| {
        (0..set.len()).filter(|&j| j != i).max_by(|&x, &y| set[i].dot(set[x]).total_cmp(&set[i].dot(set[y])))
    };
    let same = (0..a.len()).filter(|&i| nearest(a, i) == nearest(b, i)).count();
    same as f64 / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spearman_of_known_orders() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 25.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
        assert_eq!(spearman(&[1.0, 1.0], &[3.0, 2.0]), 0.0);
        // With ties: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        assert!((spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]) - 0.948_683_298).abs() < 1e-9);
    }

    #[test]
    fn retrieval_agrees_with_itself_and_not_with_a_swap() {
        let v = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]].map(|x| Array1::from(x.to_vec()));
        let a: Vec<&Array1<f64>> = v.iter().collect();
        assert_eq!(top1_agreement(&a, &a), 1.0);
        let b = [&v[0], &v[2], &v[1], &v[3]];
        assert_eq!(top1_agreement(&a, &b), 0.0);
    }
}
