use std::{
    pin::Pin,
    task::{Context, Poll},
};

use shuttle::rand::{Rng, thread_rng};

/// The two shapes of `select!` that the crate uses.
#[macro_export]
macro_rules! select {
    (
        biased;
        $a:pat = $first:expr => $do_a:expr,
        $b:pat = $second:expr => $do_b:expr $(,)?
    ) => {
        match $crate::Race2(Box::pin($first), Box::pin($second)).await {
            $crate::Winner2::A($a) => $do_a,
            $crate::Winner2::B($b) => $do_b,
        }
    };
    (
        $a:pat = $first:expr => $do_a:expr,
        $b:pat = $second:expr => $do_b:expr,
        $c:pat = $third:expr => $do_c:expr $(,)?
    ) => {
        match $crate::Race3(Box::pin($first), Box::pin($second), Box::pin($third)).await {
            $crate::Winner3::A($a) => $do_a,
            $crate::Winner3::B($b) => $do_b,
            $crate::Winner3::C($c) => $do_c,
        }
    };
}

/// The first of two is looked at first.
#[derive(Debug)]
pub struct Race2<A, B>(pub Pin<Box<A>>, pub Pin<Box<B>>);

#[derive(Debug)]
pub enum Winner2<A, B> {
    A(A),
    B(B),
}

impl<A: Future, B: Future> Future for Race2<A, B> {
    type Output = Winner2<A::Output, B::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(first) = self.0.as_mut().poll(cx) {
            return Poll::Ready(Winner2::A(first));
        }
        self.1.as_mut().poll(cx).map(Winner2::B)
    }
}

/// Any of the three is looked at first.
#[derive(Debug)]
pub struct Race3<A, B, C>(pub Pin<Box<A>>, pub Pin<Box<B>>, pub Pin<Box<C>>);

#[derive(Debug)]
pub enum Winner3<A, B, C> {
    A(A),
    B(B),
    C(C),
}

impl<A: Future, B: Future, C: Future> Future for Race3<A, B, C> {
    type Output = Winner3<A::Output, B::Output, C::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let first = thread_rng().gen_range(0..3);
        for turn in first..first + 3 {
            let polled = match turn % 3 {
                0 => self.0.as_mut().poll(cx).map(Winner3::A),
                1 => self.1.as_mut().poll(cx).map(Winner3::B),
                _ => self.2.as_mut().poll(cx).map(Winner3::C),
            };
            if polled.is_ready() {
                return polled;
            }
        }
        Poll::Pending
    }
}
