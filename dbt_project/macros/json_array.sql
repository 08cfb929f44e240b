{# The JSON array, or an empty one where the value is something else or absent. #}
{% macro json_array(value) -%}
    case when jsonb_typeof({{ value }}) = 'array' then {{ value }} else '[]'::jsonb end
{%- endmacro %}
