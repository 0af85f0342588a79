/** What every program needs beside the stubs in {@code dev.varve.v1}. */
package dev.varve;
