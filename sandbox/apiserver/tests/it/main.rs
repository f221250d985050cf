//! The server through `kube::Client`, in process, and through kubectl, on HTTP.

mod common;
mod crud;
mod definitions;
mod forms;
mod gc;
mod kubectl;
mod lists;
mod load;
mod watches;
mod writes;
