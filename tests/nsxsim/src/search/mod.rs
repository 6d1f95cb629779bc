//! Search: a query language over an index that lags behind.

mod grammar;
mod query;

pub use query::search;
