"""What readers get: releases of gold that passed their audits."""
