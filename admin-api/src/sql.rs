//! Statements that are put together from what a caller has given.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::error::Result;
use crate::transaction::{Param, Transaction};

/// Columns and their new values.
#[derive(Default)]
pub(crate) struct Columns {
    names: Vec<&'static str>,
    /// How a value is written, where it isn't plainly.
    casts: Vec<&'static str>,
    values: Vec<Box<dyn ToSql + Send + Sync>>,
}

impl Columns {
    pub(crate) fn set(&mut self, name: &'static str, value: impl ToSql + Send + Sync + 'static) {
        self.set_as(name, "", value);
    }

    /// The same, with a cast behind the value.
    pub(crate) fn set_as(
        &mut self,
        name: &'static str,
        cast: &'static str,
        value: impl ToSql + Send + Sync + 'static,
    ) {
        self.names.push(name);
        self.casts.push(cast);
        self.values.push(Box::new(value));
    }

    pub(crate) fn set_if(
        &mut self,
        name: &'static str,
        value: Option<impl ToSql + Send + Sync + 'static>,
    ) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn places(&self) -> impl Iterator<Item = String> {
        self.casts
            .iter()
            .enumerate()
            .map(|(index, cast)| format!("${}{cast}", index + 1))
    }

    fn values(&self) -> Vec<Param<'_>> {
        self.values
            .iter()
            .map(|value| &**value as Param<'_>)
            .collect()
    }

    pub(crate) async fn insert(&self, transaction: &Transaction, table: &str) -> Result<()> {
        let places: Vec<_> = self.places().collect();
        let sql = format!(
            "INSERT INTO {table} ({}) VALUES ({}) RETURNING id",
            self.names.join(", "),
            places.join(", ")
        );
        transaction.one(&sql, &self.values()).await?;
        Ok(())
    }

    /// Changes a row that the transaction has locked.
    pub(crate) async fn update(
        &self,
        transaction: &Transaction,
        table: &str,
        id: Uuid,
    ) -> Result<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        let pairs = self.names.iter().zip(self.places());
        let pairs: Vec<_> = pairs
            .map(|(name, place)| format!("{name} = {place}"))
            .collect();
        let sql = format!(
            "UPDATE {table} SET {} WHERE id = ${} RETURNING id",
            pairs.join(", "),
            self.names.len() + 1
        );
        let mut values = self.values();
        values.push(&id);
        transaction.one(&sql, &values).await?;
        Ok(())
    }
}
